"""What operators of several families share; none is registered here."""
