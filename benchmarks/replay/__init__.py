"""The replay: costs of the program's decisions and of simple strategies on recorded quotes and trades."""
