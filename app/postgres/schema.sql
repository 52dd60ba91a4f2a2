-- What PostgreSQL has beside the tables of every index (app/retrieval/tables.sql): the postings and the tokens are kept in
-- pieces, because a question asks for a few of them.

create table postings(segment bigint, term text collate "C", passages bytea, kinds bytea, primary key(segment, term));
create table tokens(segment bigint, passage integer, tokens bytea, terms text, primary key(segment, passage));

-- `folder` is there for policies of row-level security: a document of hr/contracts/ has 'hr/contracts'.
alter table documents alter id add generated always as identity,
    add folder text generated always as (regexp_replace(file, '/?[^/]*$', '')) stored;

-- Numbers do not get smaller, and are read faster, if nothing tries to compress them.
alter table arrays alter data set storage external;
alter table postings alter passages set storage external, alter kinds set storage external;
