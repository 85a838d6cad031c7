// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <span>

namespace parade {

/// Communicator: the few exchanges by which several processes train one θ. Every rank computes a contiguous range of the shards, reduces
/// it to O(log S) nodes of the canonical tree, and sends those; one rank finishes the tree and sends the result back, so that the bits are those of
/// one process. No exchange adds numbers: the order of a sum is the engine's alone.
///
/// Requirements for a type C:
///   1. `rank()` is in [0, size()), `size()` at least 1, both fixed.
///   2. `send(int to, std::span<const std::byte>)` and `receive(int from, std::span<std::byte>)` move bytes between two ranks, in order.
///   3. `broadcast(int root, std::span<std::byte>)` makes the bytes of every rank those of `root`.
/// A failure is an exception.
///
/// Not required: reductions, and any knowledge of what the bytes are.
/// See also: parade::SelfCommunicator.
template <class C>
concept Communicator = requires(C communicator, int peer, std::span<const std::byte> out, std::span<std::byte> in) {
  { communicator.rank() } -> std::convertible_to<int>;
  { communicator.size() } -> std::convertible_to<int>;
  communicator.send(peer, out);
  communicator.receive(peer, in);
  communicator.broadcast(peer, in);
};

}  // namespace parade
