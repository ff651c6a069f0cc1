"""What a SuperLink's executor runs at the coordinator. Configured by SAFEBORDERS_STUDY alone."""

from safeborders_fed.transport.entry import coordinator

app = coordinator()
