"""What sets how many pods there are and how large, and what may take them away: autoscalers, disruption budgets."""
