-- Usage events: their identity, voiding, and a ledger that takes tens of thousands of lines a second.

DROP VIEW usage_records;
DROP VIEW facts;

ALTER TABLE ledger
    -- 128 bits of the event id's hash: a third of the index that the texts would need. The payload's decides conflicts.
    ADD COLUMN event_key      uuid,
    ADD COLUMN payload_hash   uuid,
    -- The sender named the project, so rules do not move the line.
    ADD COLUMN project_given  boolean NOT NULL DEFAULT false,
    -- A voided line stays for good and is in no figure: `facts` and `usage_records` leave it out.
    ADD COLUMN voided_at      timestamptz,
    ADD COLUMN void_reason    text,
    ADD CHECK ((voided_at IS NULL) = (void_reason IS NULL)),
    ADD CHECK ((event_key IS NULL) = (event_id IS NULL) AND (event_key IS NULL) = (payload_hash IS NULL)),
    -- Two look-ups per line. Accounts and rates that a line names are read in the transaction that writes it, rates are
    -- never deleted, and deleting an account is a workflow that has roll-ups to move.
    DROP CONSTRAINT ledger_account_id_fkey,
    DROP CONSTRAINT ledger_rates_id_fkey,
    DROP CONSTRAINT ledger_bucket_id_key,
    -- NULL where there are none, so that lines without tags are not in the index of tags.
    ALTER COLUMN tags DROP NOT NULL,
    ALTER COLUMN tags DROP DEFAULT,
    ALTER COLUMN metadata DROP NOT NULL,
    ALTER COLUMN metadata DROP DEFAULT,
    -- The domain checks every amount by itself. One check on their sum sees the same: the sum has the scale of its
    -- longest part, and neither NaN nor Infinity has a scale.
    ALTER COLUMN cost TYPE numeric,
    ALTER COLUMN input_cost TYPE numeric,
    ALTER COLUMN output_cost TYPE numeric,
    ALTER COLUMN cache_read_cost TYPE numeric,
    ALTER COLUMN cache_write_5m_cost TYPE numeric,
    ALTER COLUMN cache_write_1h_cost TYPE numeric,
    ALTER COLUMN audio_cost TYPE numeric,
    ALTER COLUMN image_cost TYPE numeric,
    ALTER COLUMN web_search_cost TYPE numeric,
    ALTER COLUMN request_cost TYPE numeric,
    ALTER COLUMN reported_cost TYPE numeric,
    ADD CONSTRAINT ledger_money CHECK (coalesce(scale(
        coalesce(cost, 0) + input_cost + output_cost + cache_read_cost + cache_write_5m_cost + cache_write_1h_cost
        + audio_cost + image_cost + web_search_cost + request_cost + coalesce(reported_cost, 0)
    ) <= 30, false));

UPDATE ledger SET tags = nullif(tags, '{}'), metadata = nullif(metadata, '{}') WHERE tags = '{}' OR metadata = '{}';

CREATE UNIQUE INDEX ledger_bucket ON ledger (bucket_id) WHERE bucket_id IS NOT NULL;
CREATE UNIQUE INDEX ledger_event ON ledger (event_key) WHERE event_key IS NOT NULL;
DROP INDEX ledger_by_label;
-- The label alone: equal keys are stored once, which a time beside them would prevent.
CREATE INDEX ledger_by_label ON ledger (session_label) WHERE session_label IS NOT NULL;
DROP INDEX ledger_by_tag;
CREATE INDEX ledger_by_tag ON ledger USING gin (tags jsonb_path_ops) WHERE tags IS NOT NULL;

-- Which of these events are stored, voided ones too. With thousands of keys the planner takes reading the whole ledger for
-- cheaper than looking each up, and is wrong from a few thousand lines on.
CREATE FUNCTION stored_events(keys uuid[]) RETURNS TABLE (event_key text, payload_hash text, id bigint)
LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    SELECT encode(uuid_send(ledger.event_key), 'hex'), encode(uuid_send(ledger.payload_hash), 'hex'), ledger.id
    FROM ledger WHERE ledger.event_key = ANY(keys)
$$;

-- What is summed from checked money needs no check of its own, and rows that grow need room to grow in place.
ALTER TABLE rollup_quarter
    ALTER COLUMN cost TYPE numeric,
    ALTER COLUMN input_cost TYPE numeric,
    ALTER COLUMN output_cost TYPE numeric,
    ALTER COLUMN cache_read_cost TYPE numeric,
    ALTER COLUMN cache_write_5m_cost TYPE numeric,
    ALTER COLUMN cache_write_1h_cost TYPE numeric,
    ALTER COLUMN audio_cost TYPE numeric,
    ALTER COLUMN image_cost TYPE numeric,
    ALTER COLUMN web_search_cost TYPE numeric,
    ALTER COLUMN request_cost TYPE numeric,
    SET (fillfactor = 60);

CREATE VIEW facts AS
SELECT
    id, recorded_at,
    date_bin('15 minutes', recorded_at, '2000-01-01 00:00+00') AS slot,
    provider, coalesce(account_id, 0) AS account_id, model, project, session_type,
    coalesce(agent, 'unassigned') AS agent,
    coalesce(category, 'unassigned') AS category,
    coalesce(user_name, 'unassigned') AS user_name,
    coalesce(request_type, 'unassigned') AS request_type,
    source, session_label, tags,
    1 AS lines,
    requests, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    reasoning_tokens,
    audio_input_tokens + audio_output_tokens AS audio_tokens,
    image_input_tokens + image_output_tokens AS image_tokens,
    web_searches,
    coalesce(cost, 0) AS cost, input_cost, output_cost, cache_read_cost, cache_write_5m_cost, cache_write_1h_cost,
    audio_cost, image_cost, web_search_cost, request_cost,
    CASE WHEN cost IS NULL THEN requests ELSE 0 END AS unpriced_requests,
    CASE WHEN cost IS NULL THEN
        input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens
    ELSE 0 END AS unpriced_tokens
FROM ledger WHERE voided_at IS NULL;

-- The contract's shape of every line, voided ones too: what a single record is read from.
CREATE VIEW kept_records AS
SELECT
    ledger.id, ledger.event_id, ledger.recorded_at, ledger.collected_at, ledger.updated_at, ledger.provider,
    coalesce(accounts.name, 'none') AS account, ledger.model, ledger.model_raw,
    input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens AS cache_write_tokens, cache_write_1h_tokens,
    input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens AS total_tokens,
    requests, cost AS cost_usd, input_cost, output_cost,
    cache_read_cost + cache_write_5m_cost + cache_write_1h_cost AS cache_cost, reported_cost,
    coalesce(rates.detail ->> 'source', CASE WHEN cost = reported_cost THEN 'reported' END) AS priced_by,
    project, agent, user_name AS "user", session_label, session_type, category,
    description, request_type, source, coalesce(tags, '{}') AS tags, coalesce(metadata, '{}') AS metadata,
    buckets.raw AS raw_data, voided_at, void_reason
FROM ledger
LEFT JOIN accounts ON accounts.id = ledger.account_id
LEFT JOIN buckets ON buckets.id = ledger.bucket_id
LEFT JOIN rates ON rates.id = ledger.rates_id;

-- What people query: the same without what was voided.
CREATE VIEW usage_records AS
SELECT
    id, event_id, recorded_at, collected_at, updated_at, provider, account, model, model_raw, input_tokens,
    output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, total_tokens, requests, cost_usd,
    input_cost, output_cost, cache_cost, reported_cost, priced_by, project, agent, "user", session_label, session_type,
    category, description, request_type, source, tags, metadata, raw_data
FROM kept_records WHERE voided_at IS NULL;
