-- What reports read: facts (one shape for ledger and roll-ups), the fine roll-up, closed days.

-- Every ledger line in the shape that reports sum. Missing keys get the names the contract gives them here, once.
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
FROM ledger;

-- Quarter hours are the coarsest grain from which days of every time zone in use can be cut.
CREATE TABLE rollup_quarter (
    slot                   timestamptz NOT NULL,
    provider               text NOT NULL,
    account_id             bigint NOT NULL,
    model                  text NOT NULL,
    project                text NOT NULL,
    session_type           text NOT NULL,
    agent                  text NOT NULL,
    category               text NOT NULL,
    user_name              text NOT NULL,
    request_type           text NOT NULL,
    source                 text NOT NULL,
    lines                  numeric NOT NULL,
    requests               numeric NOT NULL,
    input_tokens           numeric NOT NULL,
    output_tokens          numeric NOT NULL,
    cache_read_tokens      numeric NOT NULL,
    cache_write_5m_tokens  numeric NOT NULL,
    cache_write_1h_tokens  numeric NOT NULL,
    reasoning_tokens       numeric NOT NULL,
    audio_tokens           numeric NOT NULL,
    image_tokens           numeric NOT NULL,
    web_searches           numeric NOT NULL,
    cost                   usd NOT NULL,
    input_cost             usd NOT NULL,
    output_cost            usd NOT NULL,
    cache_read_cost        usd NOT NULL,
    cache_write_5m_cost    usd NOT NULL,
    cache_write_1h_cost    usd NOT NULL,
    audio_cost             usd NOT NULL,
    image_cost             usd NOT NULL,
    web_search_cost        usd NOT NULL,
    request_cost           usd NOT NULL,
    unpriced_requests      numeric NOT NULL,
    unpriced_tokens        numeric NOT NULL,
    PRIMARY KEY (slot, provider, account_id, model, project, session_type, agent, category, user_name, request_type,
                 source)
);

CREATE TABLE daily_summaries (
    date             date PRIMARY KEY,
    total_cost       usd NOT NULL,
    total_requests   bigint NOT NULL,
    by_model         jsonb NOT NULL,
    by_session_type  jsonb NOT NULL,
    by_project       jsonb NOT NULL,
    by_agent         jsonb NOT NULL,
    synced_to_cv     boolean NOT NULL DEFAULT false,
    synced_at        timestamptz,
    payload_hash     text
);
