"""Networks: torch and the ground floor only, nothing geographic."""
