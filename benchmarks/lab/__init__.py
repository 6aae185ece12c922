"""The execution lab: costs of the ladder in a market with known rules, compared with the optimum of that market."""
