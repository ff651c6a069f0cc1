"""The half that runs beside the case data: policy, ledger, the door."""
