"""Links: identifiers that occur in the case files of two states, found without telling anybody else."""
