"""Embedding networks as tables, and the one builder that reads them."""

from asd_train.models.network import Network, NetworkSpec, build_network
from asd_train.models.tables import TABLES, Row, Table

__all__ = ["TABLES", "Network", "NetworkSpec", "Row", "Table", "build_network"]
