// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <stdexcept>

#include <parade/concepts/communicator.hpp>

namespace parade {

/// The communicator of a single process: rank 0 of 1. There is nobody to send to or to receive from; a broadcast changes nothing.
struct SelfCommunicator {
  int rank() const { return 0; }
  int size() const { return 1; }
  void send(int, std::span<const std::byte>) const { throw std::logic_error("a single process has no other rank to send to"); }
  void receive(int, std::span<std::byte>) const { throw std::logic_error("a single process has no other rank to receive from"); }
  void broadcast(int, std::span<std::byte>) const {}
};

static_assert(Communicator<SelfCommunicator>);

}  // namespace parade
