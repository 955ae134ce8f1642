"""The simulated season: crops, field work, weather and growth."""
