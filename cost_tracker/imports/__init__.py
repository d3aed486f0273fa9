"""Usage from files that people have: logs of agents, exports of gateways, spreadsheets, our own exports."""
