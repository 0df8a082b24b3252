"""What a campaign comes to for programs that run it, such as a CI job."""
