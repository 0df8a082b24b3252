"""Where and how the study runs: plan, inventory, hosts, supervision, the Locust engine, the campaign."""
