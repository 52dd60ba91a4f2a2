-- The tables of the index of one corpus, as SQLite and PostgreSQL both take them; app/postgres/schema.sql adds to them.

create table state(mark text not null, changed double precision not null);
insert into state values('', 0);

create table documents(id integer primary key, segment bigint not null, file text not null, title text, language text,
    pages integer, passages integer, size bigint, modified_ns bigint, digest text, silent text, private boolean,
    gone boolean not null);
create unique index current_documents on documents(file) where not gone;
create index documents_by_segment on documents(segment, gone, passages);
create table texts(document integer primary key, text text);
create table passages(document integer, number integer, start integer, stop integer, place text,
    primary key(document, number)) without rowid;
create table problems(file text primary key, reason text, size bigint, modified_ns bigint, passing boolean, limits text);

-- What never changes of a segment. Arrays are little-endian; what is in them says app/retrieval/segment.py.
create table arrays(segment bigint, name text, type text, checksum bigint, data blob, primary key(segment, name));
