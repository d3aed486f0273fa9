-- Accounts, what providers reported, and the ledger that everything is summed from.

CREATE DOMAIN usd AS numeric
    CHECK (scale(VALUE) <= 30 AND VALUE NOT IN ('NaN', 'Infinity', '-Infinity'));

CREATE TABLE accounts (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL UNIQUE,
    provider        text NOT NULL,
    -- Whom the credential belonged to at the first collection: another owner's figures are another account.
    owner_id        text,
    origin          text NOT NULL CHECK (origin IN ('environment', 'demo', 'stored')),
    state           text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'ok', 'credential_refused', 'failing')),
    error           text,
    collected_at    timestamptz,
    -- What the polled report covers: [covered_from, complete_until). Events explain it inside, and count outside.
    covered_from    timestamptz,
    complete_until  timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE provider_names (
    account_id  bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    kind        text NOT NULL CHECK (kind IN ('key', 'workspace')),
    external_id text NOT NULL,
    name        text NOT NULL,
    archived    boolean NOT NULL,
    PRIMARY KEY (account_id, kind, external_id)
);

-- One row per account and stream. The window columns are the checkpoint of a fetch that is under way.
CREATE TABLE collection_state (
    account_id    bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    stream        text NOT NULL,
    watermark     timestamptz,
    -- Raised by whoever takes the stream over; a page written under an older fence is refused.
    fence         bigint NOT NULL DEFAULT 0,
    window_start  timestamptz,
    window_end    timestamptz,
    fetched_at    timestamptz,
    next_cursor   text,
    pages         integer NOT NULL DEFAULT 0,
    all_read      boolean NOT NULL DEFAULT false,
    -- The span of the intervals that the pages listed: what lies outside was not read, whatever was asked for.
    listed_start  timestamptz,
    listed_end    timestamptz,
    PRIMARY KEY (account_id, stream)
);

-- Pages wait here until the last one is read: the ledger sees a whole window or nothing of it.
CREATE TABLE staged_rows (
    account_id    bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    stream        text NOT NULL,
    bucket_start  timestamptz NOT NULL,
    bucket_end    timestamptz NOT NULL,
    page          integer NOT NULL,
    position      integer NOT NULL,
    raw           json NOT NULL,
    PRIMARY KEY (account_id, stream, bucket_start, page, position)
);

-- A provider's latest word on one interval and one combination of dimensions.
CREATE TABLE buckets (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    stream        text NOT NULL,
    bucket_start  timestamptz NOT NULL,
    bucket_end    timestamptz NOT NULL,
    key           text NOT NULL,
    content_hash  text NOT NULL,
    dimensions    jsonb NOT NULL,
    raw           jsonb NOT NULL,
    -- Bills only: money as the provider states it, its class of charge and the model it names.
    amount        usd,
    charge        text,
    model         text,
    fetched_at    timestamptz NOT NULL,
    CHECK (bucket_start < bucket_end),
    UNIQUE (account_id, stream, bucket_start, key)
);

-- Earlier words, kept for good. No reference to buckets: a removed bucket keeps its history.
CREATE TABLE bucket_versions (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket_id     bigint NOT NULL,
    account_id    bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    stream        text NOT NULL,
    bucket_start  timestamptz NOT NULL,
    bucket_end    timestamptz NOT NULL,
    key           text NOT NULL,
    dimensions    jsonb NOT NULL,
    raw           jsonb NOT NULL,
    amount        usd,
    cost          usd,
    fetched_at    timestamptz NOT NULL,
    replaced_at   timestamptz NOT NULL,
    reason        text NOT NULL CHECK (reason IN ('restated', 'removed'))
);
CREATE INDEX bucket_versions_of_bucket ON bucket_versions (account_id, stream, bucket_start, key);

-- The rates a line was priced by, each distinct set once: `explain` shows the price that was really used.
CREATE TABLE rates (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint text NOT NULL UNIQUE,
    detail      jsonb NOT NULL
);

CREATE TABLE price_overrides (
    id                        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model                     text NOT NULL,
    provider                  text,
    since                     timestamptz NOT NULL,
    input_per_1m              usd NOT NULL,
    output_per_1m             usd NOT NULL,
    cache_read_per_1m         usd,
    cache_write_per_1m        usd,
    cache_write_1h_per_1m     usd,
    created_at                timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ledger (
    id                     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source                 text NOT NULL CHECK (source IN ('api', 'event', 'manual', 'import', 'attribution')),
    event_id               text,
    account_id             bigint REFERENCES accounts ON DELETE CASCADE,
    bucket_id              bigint UNIQUE REFERENCES buckets ON DELETE CASCADE,
    recorded_at            timestamptz NOT NULL,
    collected_at           timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
    provider               text NOT NULL,
    model                  text NOT NULL,
    model_raw              text,
    input_tokens           bigint NOT NULL,
    output_tokens          bigint NOT NULL,
    cache_read_tokens      bigint NOT NULL,
    cache_write_5m_tokens  bigint NOT NULL,
    cache_write_1h_tokens  bigint NOT NULL,
    reasoning_tokens       bigint NOT NULL,
    audio_input_tokens     bigint NOT NULL,
    audio_output_tokens    bigint NOT NULL,
    image_input_tokens     bigint NOT NULL,
    image_output_tokens    bigint NOT NULL,
    web_searches           bigint NOT NULL,
    requests               bigint NOT NULL,
    service_tier           text,
    is_batch               boolean NOT NULL,
    speed                  text,
    inference_geo          text,
    context_window         text,
    -- NULL is "no price", which is not free. The classes add up to cost, but for money that no token explains.
    cost                   usd,
    input_cost             usd NOT NULL,
    output_cost            usd NOT NULL,
    cache_read_cost        usd NOT NULL,
    cache_write_5m_cost    usd NOT NULL,
    cache_write_1h_cost    usd NOT NULL,
    audio_cost             usd NOT NULL,
    image_cost             usd NOT NULL,
    web_search_cost        usd NOT NULL,
    request_cost           usd NOT NULL,
    reported_cost          usd,
    rates_id               bigint REFERENCES rates,
    project                text NOT NULL,
    agent                  text,
    user_name              text,
    session_label          text,
    session_type           text NOT NULL,
    category               text,
    description            text,
    request_type           text,
    tags                   jsonb NOT NULL DEFAULT '{}',
    metadata               jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ledger_newest ON ledger (recorded_at DESC, id DESC);
CREATE INDEX ledger_by_label ON ledger (session_label, recorded_at);
CREATE INDEX ledger_by_tag ON ledger USING gin (tags jsonb_path_ops);

-- The contract's shape of the ledger, for people who query it: the table behind it may change, this may not.
CREATE VIEW usage_records AS
SELECT
    ledger.id, ledger.event_id, ledger.recorded_at, ledger.collected_at, ledger.updated_at, ledger.provider,
    coalesce(accounts.name, 'none') AS account, ledger.model, ledger.model_raw,
    input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens AS cache_write_tokens, cache_write_1h_tokens,
    input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens AS total_tokens,
    requests, cost AS cost_usd, input_cost, output_cost,
    cache_read_cost + cache_write_5m_cost + cache_write_1h_cost AS cache_cost, reported_cost,
    rates.detail ->> 'source' AS priced_by, project, agent, user_name AS "user", session_label, session_type, category,
    description, request_type, source, tags, metadata, buckets.raw AS raw_data
FROM ledger
LEFT JOIN accounts ON accounts.id = ledger.account_id
LEFT JOIN buckets ON buckets.id = ledger.bucket_id
LEFT JOIN rates ON rates.id = ledger.rates_id;
