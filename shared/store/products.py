"""What a line costs by the card it is joined to, in SQL: counts times prices, class by class."""

from __future__ import annotations


def _times(count: str, price: str, unit: str = "0.000001") -> str:
    """Return count x price per unit in SQL: NULL where there is no price, except for nothing, which is free."""
    return f"CASE WHEN {count} = 0 THEN 0 ELSE {count} * card.{price}_price * {unit} END"


# OFFSET 0 has each of these computed once per line; without it the planner writes them out wherever they are used.
# Parts that add up to more than their whole are cut to it: audio first, then images, then reasoning.
PARTS = """
    LATERAL (SELECT least(audio_input_tokens, input_tokens) AS audio_in,
                    least(audio_output_tokens, output_tokens) AS audio_out) AS audio,
    LATERAL (SELECT least(image_input_tokens, input_tokens - audio_in) AS image_in,
                    least(image_output_tokens, output_tokens - audio_out) AS image_out) AS images,
    LATERAL (SELECT least(reasoning_tokens, output_tokens - audio_out - image_out) AS thought) AS thoughts,
    LATERAL (SELECT input_tokens - audio_in - image_in AS text_in,
                    output_tokens - audio_out - image_out - thought AS text_out OFFSET 0) AS texts
"""
PRODUCTS = {
    "input_cost": _times("text_in", "input"),
    "output_cost": f"{_times('text_out', 'output')} + {_times('thought', 'reasoning')}",
    "cache_read_cost": _times("cache_read_tokens", "cache_read"),
    "cache_write_5m_cost": _times("cache_write_5m_tokens", "cache_write_5m"),
    "cache_write_1h_cost": _times("cache_write_1h_tokens", "cache_write_1h"),
    "audio_cost": f"{_times('audio_in', 'audio_input')} + {_times('audio_out', 'audio_output')}",
    "image_cost": f"{_times('image_in', 'image_input')} + {_times('image_out', 'image_output')}",
    "web_search_cost": _times("web_searches", "web_search", "0.001"),
    # No fee is the rule: a missing one is not a missing price.
    "request_cost": "requests * coalesce(card.request_price, 0) * 0.001",
}
