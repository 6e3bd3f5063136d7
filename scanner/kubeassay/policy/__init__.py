"""Policy: loads and validates rules, baselines, profiles and exceptions."""
