"""What callers may still use: their limits, kept in the memory of this process."""

from reasoning_grpc.quotas.memory_quotas import MemoryQuotas

__all__ = ["MemoryQuotas"]
