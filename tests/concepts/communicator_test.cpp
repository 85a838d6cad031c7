// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include <parade/concepts/communicator.hpp>

#include "support/catch.hpp"

namespace {

using parade::Communicator;

using Out = std::span<const std::byte>;
using In = std::span<std::byte>;

struct Good {
  int rank();
  int size();
  void send(int to, Out);
  void receive(int from, In);
  void broadcast(int root, In);
};
static_assert(Communicator<Good>);

// One mutant a line.
// clang-format off

// 1. rank(), size()
struct NoRank            : Good { void rank() = delete; };
struct RankAsField       : Good { int rank; };
struct VoidRank          : Good { void rank(); };
struct RankIsText        : Good { std::string rank(); };
struct NoSize            : Good { void size() = delete; };
struct SizeAsField       : Good { int size; };
struct VoidSize          : Good { void size(); };
struct SizeOfGroup       : Good { int size(int group); };
static_assert(!Communicator<NoRank>);
static_assert(!Communicator<RankAsField>);
static_assert(!Communicator<VoidRank>);
static_assert(!Communicator<RankIsText>);
static_assert(!Communicator<NoSize>);
static_assert(!Communicator<SizeAsField>);
static_assert(!Communicator<VoidSize>);
static_assert(!Communicator<SizeOfGroup>);

// 2. send(to, bytes), receive(from, bytes)
struct NoSend            : Good { void send() = delete; };
struct SendWithoutPeer   : Good { void send(Out); };
struct SendTurned        : Good { void send(Out, int); };
struct SendOfMutable     : Good { void send(int, In); };
struct SendOfChars       : Good { void send(int, std::span<const char>); };
struct SendOfVector      : Good { void send(int, const std::vector<std::byte>&); };
struct NoReceive         : Good { void receive() = delete; };
struct ReceiveReturns    : Good { std::vector<std::byte> receive(int); };
struct ReceiveOfChars    : Good { void receive(int, std::span<char>); };
struct ReceiveOfVector   : Good { void receive(int, std::vector<std::byte>&); };
static_assert(!Communicator<NoSend>);
static_assert(!Communicator<SendWithoutPeer>);
static_assert(!Communicator<SendTurned>);
static_assert(!Communicator<SendOfMutable>);
static_assert(!Communicator<SendOfChars>);
static_assert(!Communicator<SendOfVector>);
static_assert(!Communicator<NoReceive>);
static_assert(!Communicator<ReceiveReturns>);
static_assert(!Communicator<ReceiveOfChars>);
static_assert(!Communicator<ReceiveOfVector>);

// 3. broadcast(root, bytes)
struct NoBroadcast       : Good { void broadcast() = delete; };
struct BroadcastRootless : Good { void broadcast(In); };
struct BroadcastOfChars  : Good { void broadcast(int, std::span<char>); };
struct BroadcastOfVector : Good { void broadcast(int, std::vector<std::byte>&); };
static_assert(!Communicator<NoBroadcast>);
static_assert(!Communicator<BroadcastRootless>);
static_assert(!Communicator<BroadcastOfChars>);
static_assert(!Communicator<BroadcastOfVector>);
// clang-format on

// The exchanges may be const or not, and may answer what they like.
struct Const {
  static int rank() { return 0; }
  short size() const;
  bool send(int, const Out&) const;
  bool receive(int, const In&) const;
  bool broadcast(int, In) const;
};
static_assert(Communicator<Const>);

}  // namespace

TEST_CASE("a type that breaks one requirement of Communicator is refused") { SUCCEED("checked by the compiler: each static_assert above"); }
