"""Templates as dbt has them: the environment, what they see, how they are rendered."""
