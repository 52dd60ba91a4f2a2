-- The tables of one corpus, in a schema of its own. They are those of the local index (app/retrieval/writer.py), but for
-- the postings and the tokens, which are kept in pieces because a question asks for a few of them.

create table state(mark text not null, changed double precision not null);
insert into state values('', 0);

-- `folder` is there for policies of row-level security: a document of hr/contracts/ has 'hr/contracts'.
create table documents(id bigint generated always as identity primary key, segment bigint not null, file text not null,
    title text, language text, pages integer, passages integer, size bigint, modified_ns bigint, digest text, silent text,
    private boolean, gone boolean not null, folder text generated always as (regexp_replace(file, '/?[^/]*$', '')) stored);
create unique index current_documents on documents(file) where not gone;
create index documents_by_segment on documents(segment);
create table texts(document bigint primary key, text text);
create table passages(document bigint, number integer, start integer, stop integer, place text,
    primary key(document, number));
create table problems(file text primary key, reason text, size bigint, modified_ns bigint, passing boolean, limits text);

create function erase() returns trigger language plpgsql as $$ begin
    delete from texts where document = new.id;
    delete from passages where document = new.id;
    return null;
end $$;
create trigger erase after update of gone on documents for each row execute function erase();

-- What never changes of a segment. Arrays are little-endian; what is in them says app/retrieval/segment.py.
create table arrays(segment bigint, name text, type text, checksum bigint, data bytea, primary key(segment, name));
create table postings(segment bigint, term text collate "C", passages bytea, kinds bytea, primary key(segment, term));
create table tokens(segment bigint, passage integer, tokens bytea, terms text, primary key(segment, passage));

-- Numbers do not get smaller, and are read faster, if nothing tries to compress them.
alter table arrays alter data set storage external;
alter table postings alter passages set storage external, alter kinds set storage external;
