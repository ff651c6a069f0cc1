"""What is computed: each analysis holds the half of the node and the half of the coordinator side by side."""
