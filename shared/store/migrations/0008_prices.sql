-- Prices over time: names and catalogues of the user's, which models were seen, and who changed what.

-- Further names for models. They win over the names table that ships; upper and lower case do not matter.
CREATE TABLE model_aliases (
    alias       text PRIMARY KEY,
    model       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Which models were ever counted, by provider: kept by trigger, so that lists need not read the roll-up.
CREATE TABLE models_used (
    provider  text NOT NULL,
    model     text NOT NULL,
    PRIMARY KEY (provider, model)
);
INSERT INTO models_used SELECT DISTINCT provider, model FROM rollup_quarter;

CREATE FUNCTION note_used_models() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Almost always there already, and then nothing is written. In order, because two may meet the same new models.
    INSERT INTO models_used (provider, model)
    SELECT DISTINCT provider, model FROM touched ORDER BY provider, model
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER rollup_names_models AFTER INSERT ON rollup_quarter
    REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION note_used_models();

-- The price library's published data file as it was fetched (gzip), and each attempt to fetch it.
CREATE TABLE price_catalogues (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256     text NOT NULL UNIQUE,
    stored_at  timestamptz NOT NULL,
    -- The library it was read with: a later release of that may hold newer prices than this.
    library    text NOT NULL,
    models     integer NOT NULL,
    content    bytea NOT NULL
);
CREATE TABLE catalogue_checks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    checked_at  timestamptz NOT NULL,
    status      text NOT NULL CHECK (status IN ('stored', 'unchanged', 'refused', 'unreachable')),
    sha256      text,
    error       text
);

-- What people and runs changed: append only.
CREATE TABLE audit_log (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    actor   text NOT NULL,
    action  text NOT NULL,
    run_id  bigint,
    detail  jsonb NOT NULL
);
CREATE INDEX audit_log_newest ON audit_log (at DESC, id DESC);

-- What waits for a price, found without reading what has one.
CREATE INDEX ledger_unpriced ON ledger (recorded_at) WHERE cost IS NULL;

-- The same prices from another edition of the catalogue are the same prices: lines are not rewritten for a label.
ALTER TABLE rates ADD COLUMN substance text GENERATED ALWAYS AS (md5((detail - 'version')::text)) STORED;
