// SPDX-License-Identifier: MIT
#include <parade/concepts/communicator.hpp>

struct Mine {
  int rank() const { return 0; }
  int size() const { return 1; }
  void send(int, std::span<const std::byte>) {}
  void receive(int, std::span<std::byte>) {}
#ifdef PARADE_TEST_GOOD
  void broadcast(int, std::span<std::byte>) {}
#endif
};
static_assert(parade::Communicator<Mine>);
