-- What decides a record's price besides its tokens, so that an export holds all of an event.

CREATE OR REPLACE VIEW kept_records AS
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
    buckets.raw AS raw_data, voided_at, void_reason,
    reasoning_tokens, audio_input_tokens, audio_output_tokens, image_input_tokens, image_output_tokens, web_searches,
    service_tier, is_batch AS batch, speed, inference_geo
FROM ledger
LEFT JOIN accounts ON accounts.id = ledger.account_id
LEFT JOIN buckets ON buckets.id = ledger.bucket_id
LEFT JOIN rates ON rates.id = ledger.rates_id;

CREATE OR REPLACE VIEW usage_records AS
SELECT
    id, event_id, recorded_at, collected_at, updated_at, provider, account, model, model_raw, input_tokens,
    output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, total_tokens, requests, cost_usd,
    input_cost, output_cost, cache_cost, reported_cost, priced_by, project, agent, "user", session_label, session_type,
    category, description, request_type, source, tags, metadata, raw_data, reasoning_tokens, audio_input_tokens,
    audio_output_tokens, image_input_tokens, image_output_tokens, web_searches, service_tier, batch, speed,
    inference_geo
FROM kept_records WHERE voided_at IS NULL;
