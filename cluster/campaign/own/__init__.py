"""What a person brings: servers that run already, and the surroundings of those that are started."""
