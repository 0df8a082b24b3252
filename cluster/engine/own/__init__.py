"""User classes from a locustfile of one's own: started, examined beforehand, and recorded without changing them."""
