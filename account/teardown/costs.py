"""What a thing costs in a month while it merely stands there: list prices of its region, in USD."""

from __future__ import annotations

from dataclasses import dataclass

from gpu.prices import HOURS_PER_MONTH, RegionPrices, product


@dataclass(frozen=True)
class Costs:
    """Of things in one region, in USD per month; None where no price is known there."""

    prices: RegionPrices

    @property
    def cluster(self) -> float | None:
        """An EKS control plane in standard support."""
        return _month(self.prices.services.eks_control_plane_per_hour)

    @property
    def nat_gateway(self) -> float | None:
        """A NAT gateway without its address."""
        return _month(self.prices.services.nat_gateway_per_hour)

    @property
    def address(self) -> float | None:
        """A public IPv4 address."""
        return _month(self.prices.services.public_ipv4_per_hour)

    @property
    def load_balancer(self) -> float | None:
        """A network or an application load balancer."""
        return _month(self.prices.services.load_balancer_per_hour)

    @property
    def classic_load_balancer(self) -> float | None:
        """A classic load balancer."""
        return _month(self.prices.services.classic_load_balancer_per_hour)

    @property
    def key(self) -> float | None:
        """A KMS key of the customer's."""
        return self.prices.services.kms_key_per_month

    def instance(self, type_: str) -> float | None:
        """A running instance on demand; on Spot it costs less."""
        return _month(self.prices.node_usd_per_hour(type_, "on-demand"))

    def volume(self, type_: str, gib: int) -> float | None:
        """A gp3 volume without extra IOPS and throughput; the stacks make no others."""
        return product(gib, self.prices.services.gp3_per_gb_month) if type_ == "gp3" else None

    def snapshot(self, bytes_: int | None) -> float | None:
        """A snapshot whose whole content EBS tells, as stored alone: blocks that others share are paid for once."""
        return None if bytes_ is None else product(bytes_ / 2**30, self.prices.services.snapshot_per_gb_month)

    def endpoint(self, zones: int) -> float | None:
        """An interface endpoint in so many zones."""
        return product(zones, self.prices.services.interface_endpoint_per_hour_and_zone, HOURS_PER_MONTH)

    def logs(self, bytes_: int) -> float | None:
        """Logs that are stored."""
        return product(bytes_ / 2**30, self.prices.services.log_storage_per_gb_month)

    def objects(self, bytes_: int) -> float | None:
        """Objects of S3, by the month."""
        return product(bytes_ / 1e9, self.prices.services.s3_storage_per_gb_month)


def _month(per_hour: float | None) -> float | None:
    return product(per_hour, HOURS_PER_MONTH)
