"""What a SuperNode's executor runs at a national node. Configured by SAFEBORDERS_HOME alone."""

from safeborders_fed.transport.entry import node

app = node()
