// SPDX-License-Identifier: MIT
#include <cstddef>
#include <string>

#include <parade/concepts/model.hpp>

#include "support/catch.hpp"

namespace {

using parade::ConstMatrixRef, parade::ConstVectorRef, parade::Index, parade::Matrix, parade::ParameterBlock, parade::ParameterList,
    parade::Vector, parade::VectorRef;
using parade::HasAddGradient, parade::HasForward, parade::HasInitialize, parade::HasParameters, parade::HasScalar, parade::HasShape,
    parade::HasWorkspace, parade::Model, parade::OverwritesGradient, parade::PreparesOnceAStep, parade::ReservesWorkspace;

using Theta = ConstVectorRef<float>;  // (P)
using Grad = VectorRef<float>;        // (P)
using X = ConstMatrixRef<float>;      // (d,m)
using Z = ConstMatrixRef<float>;      // (k,m)
using Seed = std::uint64_t;

// --- the smallest model, and what a type lacks ----------------------------------------------------------------------------------------

struct Empty {};

template <class Scalar, class Workspace>
struct Functions {
  ParameterList parameters() const;
  Index num_inputs() const;
  Index num_outputs() const;
  void initialize(VectorRef<Scalar> theta, Seed seed) const;
  ConstMatrixRef<Scalar> forward(const ConstVectorRef<Scalar>& theta, const ConstMatrixRef<Scalar>& x, Workspace&) const;
  void add_gradient(const ConstVectorRef<Scalar>& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace&,
                    VectorRef<Scalar> grad) const;
};
template <class Scalar_, class Workspace_ = Empty>
struct ModelOf : Functions<Scalar_, Workspace_> {
  using Scalar = Scalar_;
  using Workspace = Workspace_;
};
using Good = ModelOf<float>;
static_assert(Model<Good>);
static_assert(Model<ModelOf<double>>);

enum Piece { nothing = 0, scalar = 1, workspace = 2, names = 4, shape = 8, start = 16, forwards = 32, gradient = 64 };

template <class M, class Input = X>
constexpr int lacking = (HasScalar<M> ? 0 : scalar) | (HasWorkspace<M> ? 0 : workspace) | (HasParameters<M> ? 0 : names) |
                        (HasShape<M> ? 0 : shape) | (HasInitialize<M> ? 0 : start) | (HasForward<M, Input> ? 0 : forwards) |
                        (HasAddGradient<M, Input> ? 0 : gradient);
static_assert(lacking<Good> == nothing);

template <class M, int pieces, class Input = X>
concept LacksOnly = !Model<M, Input> && lacking<M, Input> == pieces;

// One mutant a line.
// clang-format off

// 1. Scalar
struct NoScalar : Functions<float, Empty> { using Workspace = Empty; };
static_assert(!HasScalar<NoScalar> && !Model<NoScalar> && !Model<NoScalar, X>);  // most other pieces cannot be asked for without it
static_assert(LacksOnly<ModelOf<int>, scalar, ConstMatrixRef<int>>);
static_assert(LacksOnly<ModelOf<long double>, scalar, ConstMatrixRef<long double>>);

// 2. Workspace
struct NoWorkspace : Functions<float, Empty> { using Scalar = float; };
struct NeedsArgument { explicit NeedsArgument(int); };
struct Immovable { Immovable() = default; Immovable(const Immovable&) = delete; Immovable& operator=(const Immovable&) = delete; };
static_assert(LacksOnly<NoWorkspace, workspace | forwards | gradient>);  // both take one
static_assert(LacksOnly<ModelOf<float, NeedsArgument>, workspace>);
static_assert(LacksOnly<ModelOf<float, Immovable>, workspace>);

// 3. parameters()
struct NoParameters         : Good { void parameters() = delete; };
struct MutableParameters    : Good { ParameterList parameters(); };
struct OneBlock             : Good { ParameterBlock parameters() const; };
struct ParametersOfArgument : Good { ParameterList parameters(int) const; };
static_assert(LacksOnly<NoParameters, names>);
static_assert(LacksOnly<MutableParameters, names>);
static_assert(LacksOnly<OneBlock, names>);
static_assert(LacksOnly<ParametersOfArgument, names>);

// 4. num_inputs(), num_outputs()
struct InputsAsField  : Good { Index num_inputs; };
struct MutableInputs  : Good { Index num_inputs(); };
struct VoidInputs     : Good { void num_inputs() const; };
struct OutputsAsField : Good { Index num_outputs; };
struct MutableOutputs : Good { Index num_outputs(); };
struct TextOutputs    : Good { std::string num_outputs() const; };
static_assert(LacksOnly<InputsAsField, shape>);
static_assert(LacksOnly<MutableInputs, shape>);
static_assert(LacksOnly<VoidInputs, shape>);
static_assert(LacksOnly<OutputsAsField, shape>);
static_assert(LacksOnly<MutableOutputs, shape>);
static_assert(LacksOnly<TextOutputs, shape>);

// 5. initialize(theta, seed)
struct NoInitialize        : Good { void initialize() = delete; };
struct MutableInitialize   : Good { void initialize(VectorRef<float>, Seed); };
struct InitializeUnseeded  : Good { void initialize(VectorRef<float>) const; };
struct InitializePlain     : Good { void initialize(Vector<float>&, Seed) const; };
struct InitializeDouble    : Good { void initialize(VectorRef<double>, Seed) const; };
struct InitializeACopy     : Good { void initialize(Vector<float>, Seed) const; };
struct InitializeReadOnly  : Good { void initialize(const Theta&, Seed) const; };
struct InitializeTextSeed  : Good { void initialize(VectorRef<float>, std::string) const; };
static_assert(LacksOnly<NoInitialize, start>);
static_assert(LacksOnly<MutableInitialize, start>);
static_assert(LacksOnly<InitializeUnseeded, start>);
static_assert(LacksOnly<InitializePlain, start>);
static_assert(LacksOnly<InitializeDouble, start>);
static_assert(LacksOnly<InitializeACopy, start>);
static_assert(LacksOnly<InitializeReadOnly, start>);
static_assert(LacksOnly<InitializeTextSeed, start>);

// 6. forward(theta, x, workspace)
struct NoForward           : Good { void forward() = delete; };
struct MutableForward      : Good { Z forward(const Theta&, const X&, Workspace&); };
struct VoidForward         : Good { void forward(const Theta&, const X&, Workspace&) const; };
struct NumberForward       : Good { float forward(const Theta&, const X&, Workspace&) const; };
struct DoubleForward       : Good { Matrix<double> forward(const Theta&, const X&, Workspace&) const; };
struct DoubleRefForward    : Good { ConstMatrixRef<double> forward(const Theta&, const X&, Workspace&) const; };
struct ForwardOfDoubles    : Good { Z forward(const ConstVectorRef<double>&, const X&, Workspace&) const; };
struct ForwardOfDoubleX    : Good { Z forward(const Theta&, const ConstMatrixRef<double>&, Workspace&) const; };
struct ForwardWritesTheta  : Good { Z forward(Grad, const X&, Workspace&) const; };
struct ForwardOfOneSample  : Good { Z forward(const Theta&, const Theta& x, Workspace&) const; };
struct ForwardOfPlainX     : Good { Z forward(const Theta&, Matrix<float>&, Workspace&) const; };
struct ForwardNoWorkspace  : Good { Z forward(const Theta&, const X&) const; };
struct ForwardOtherSpace   : Good { Z forward(const Theta&, const X&, NeedsArgument&) const; };
static_assert(LacksOnly<NoForward, forwards>);
static_assert(LacksOnly<MutableForward, forwards>);
static_assert(LacksOnly<VoidForward, forwards>);
static_assert(LacksOnly<NumberForward, forwards>);
static_assert(LacksOnly<DoubleForward, forwards>);
static_assert(LacksOnly<DoubleRefForward, forwards>);
static_assert(LacksOnly<ForwardOfDoubles, forwards>);
static_assert(LacksOnly<ForwardOfDoubleX, forwards>);
static_assert(LacksOnly<ForwardWritesTheta, forwards>);
static_assert(LacksOnly<ForwardOfOneSample, forwards>);
static_assert(LacksOnly<ForwardOfPlainX, forwards>);
static_assert(LacksOnly<ForwardNoWorkspace, forwards>);
static_assert(LacksOnly<ForwardOtherSpace, forwards>);

// 7. add_gradient(theta, x, dscores, workspace, grad)
struct NoAddGradient       : Good { void add_gradient() = delete; };
struct MutableAddGradient  : Good { void add_gradient(const Theta&, const X&, const Z&, Workspace&, Grad); };
struct GradientReturned    : Good { Vector<float> add_gradient(const Theta&, const X&, const Z&, Workspace&) const; };
struct GradientIsPlain     : Good { void add_gradient(const Theta&, const X&, const Z&, Workspace&, Vector<float>&) const; };
struct GradientIsDouble    : Good { void add_gradient(const Theta&, const X&, const Z&, Workspace&, VectorRef<double>) const; };
struct GradientIsACopy     : Good { void add_gradient(const Theta&, const X&, const Z&, Workspace&, Vector<float>) const; };
struct GradientIsReadOnly  : Good { void add_gradient(const Theta&, const X&, const Z&, Workspace&, const Theta&) const; };
struct GradientOfDoubles   : Good { void add_gradient(const ConstVectorRef<double>&, const X&, const Z&, Workspace&, Grad) const; };
struct GradientOfDoubleX   : Good { void add_gradient(const Theta&, const ConstMatrixRef<double>&, const Z&, Workspace&, Grad) const; };
struct GradientOfDoubleDz  : Good { void add_gradient(const Theta&, const X&, const ConstMatrixRef<double>&, Workspace&, Grad) const; };
struct GradientNoDz        : Good { void add_gradient(const Theta&, const X&, Workspace&, Grad) const; };
static_assert(LacksOnly<NoAddGradient, gradient>);
static_assert(LacksOnly<MutableAddGradient, gradient>);
static_assert(LacksOnly<GradientReturned, gradient>);
static_assert(LacksOnly<GradientIsPlain, gradient>);
static_assert(LacksOnly<GradientIsDouble, gradient>);
static_assert(LacksOnly<GradientIsACopy, gradient>);
static_assert(LacksOnly<GradientIsReadOnly, gradient>);
static_assert(LacksOnly<GradientOfDoubles, gradient>);
static_assert(LacksOnly<GradientOfDoubleX, gradient>);
static_assert(LacksOnly<GradientOfDoubleDz, gradient>);
static_assert(LacksOnly<GradientNoDz, gradient>);
// clang-format on

// --- the forms that a user's model may take -------------------------------------------------------------------------------------------

struct ByValue : Good {
  Z forward(Theta theta, X x, Workspace&) const;
  void add_gradient(Theta theta, X x, Z dscores, Workspace&, Grad grad) const;
};
static_assert(Model<ByValue>);

template <class Scalar>
struct OfEigenExpressions : ModelOf<Scalar> {
  using typename ModelOf<Scalar>::Workspace;
  template <class A, class B>
  Matrix<Scalar> forward(const Eigen::MatrixBase<A>& theta, const Eigen::MatrixBase<B>& x, Workspace&) const;
  template <class A, class B, class C>
  void add_gradient(const Eigen::MatrixBase<A>& theta, const Eigen::MatrixBase<B>& x, const Eigen::MatrixBase<C>& dscores, Workspace&,
                    VectorRef<Scalar> grad) const;
};
static_assert(Model<OfEigenExpressions<float>>);
static_assert(Model<OfEigenExpressions<double>>);

struct Convertible : Good {
  const ParameterList& parameters() const;
  int num_inputs() const;
  static constexpr std::size_t num_outputs() { return 1; }
  const Matrix<float>& forward(const Theta&, const X&, Workspace&) const;
};
struct ReturnsColumns : Good {
  auto forward(const Theta&, const X&, Workspace&) const { return z.leftCols(1); }
  Matrix<float> z;
};
static_assert(Model<Convertible>);
static_assert(Model<ReturnsColumns>);

// A model says by its functions which inputs it takes.
struct Rows {};
struct OfRows : Good {
  Z forward(const Theta&, const Rows&, Workspace&) const;
  void add_gradient(const Theta&, const Rows&, const Z&, Workspace&, Grad) const;
};
static_assert(Model<OfRows, Rows>);
static_assert(LacksOnly<OfRows, forwards | gradient>);
static_assert(LacksOnly<Good, forwards | gradient, Rows>);

// One mutant a line.
// clang-format off
struct Reserves           : Good { void reserve(Workspace&, Index samples) const; };
struct MutableReserves    : Good { void reserve(Workspace&, Index samples); };
static_assert(!ReservesWorkspace<Good>);
static_assert(ReservesWorkspace<Reserves> && Model<Reserves>);
static_assert(!ReservesWorkspace<MutableReserves>);

struct Overwrites         : Good { void gradient(const Theta&, const X&, const Z&, Workspace&, Grad) const; };
struct MutableOverwrites  : Good { void gradient(const Theta&, const X&, const Z&, Workspace&, Grad); };
struct OverwritesPlain    : Good { void gradient(const Theta&, const X&, const Z&, Workspace&, Vector<float>&) const; };
static_assert(!OverwritesGradient<Good>);
static_assert(OverwritesGradient<Overwrites> && Model<Overwrites>);
static_assert(!OverwritesGradient<MutableOverwrites>);
static_assert(!OverwritesGradient<OverwritesPlain>);
// clang-format on

// --- preparation once a step ----------------------------------------------------------------------------------------------------------

template <class Prepared>
struct Preparing : Good {
  void reserve(Prepared&) const;
  Index num_preparations() const;
  void prepare(const Theta& theta, Index piece, Prepared&) const;
  Z forward(const Prepared&, const X& x, Workspace&) const;
  void add_gradient(const Prepared&, const X& x, const Z& dscores, Workspace&, Grad grad) const;
};
template <class Prepared_>
struct PreparedBy : Preparing<Prepared_> {
  using Prepared = Prepared_;
};
struct Packed {};
using Prepares = PreparedBy<Packed>;
static_assert(PreparesOnceAStep<Prepares> && Model<Prepares>);
static_assert(!PreparesOnceAStep<Good>);
static_assert(std::same_as<parade::PreparedOf<Prepares>, Packed>);
static_assert(std::same_as<parade::PreparedOf<Good>, Theta>);

// One mutant a line.
// clang-format off

// 1. Prepared, reserve(prepared)
struct NoReserve           : Prepares { void reserve() = delete; };
struct MutableReserve      : Prepares { void reserve(Packed&); };
struct ReserveOther        : Prepares { void reserve(Empty&) const; };
static_assert(!PreparesOnceAStep<Preparing<Packed>>);
static_assert(!PreparesOnceAStep<PreparedBy<NeedsArgument>>);
static_assert(!PreparesOnceAStep<NoReserve>);
static_assert(!PreparesOnceAStep<MutableReserve>);
static_assert(!PreparesOnceAStep<ReserveOther>);

// 2. num_preparations()
struct NoPreparations      : Prepares { void num_preparations() = delete; };
struct MutablePreparations : Prepares { Index num_preparations(); };
struct VoidPreparations    : Prepares { void num_preparations() const; };
struct ByThreads           : Prepares { Index num_preparations(int threads) const; };
static_assert(!PreparesOnceAStep<NoPreparations>);
static_assert(!PreparesOnceAStep<MutablePreparations>);
static_assert(!PreparesOnceAStep<VoidPreparations>);
static_assert(!PreparesOnceAStep<ByThreads>);

// 3. prepare(theta, piece, prepared)
struct NoPrepare           : Prepares { void prepare() = delete; };
struct MutablePrepare      : Prepares { void prepare(const Theta&, Index, Packed&); };
struct PrepareWhole        : Prepares { void prepare(const Theta&, Packed&) const; };
struct PrepareDoubles      : Prepares { void prepare(const ConstVectorRef<double>&, Index, Packed&) const; };
struct PrepareReturned     : Prepares { Packed prepare(const Theta&, Index) const; };
static_assert(!PreparesOnceAStep<NoPrepare>);
static_assert(!PreparesOnceAStep<MutablePrepare>);
static_assert(!PreparesOnceAStep<PrepareWhole>);
static_assert(!PreparesOnceAStep<PrepareDoubles>);
static_assert(!PreparesOnceAStep<PrepareReturned>);

// A slip in one of these functions is not passed over: who has a Prepared must prepare.
static_assert(!Model<NoReserve> && !Model<MutableReserve> && !Model<NoPreparations> && !Model<MutablePrepare>);

// What was prepared stands in the place of theta.
struct ForwardOfTheta      : Prepares { Z forward(const Theta&, const X&, Workspace&) const; };
struct GradientOfTheta     : Prepares { void add_gradient(const Theta&, const X&, const Z&, Workspace&, Grad) const; };
static_assert(LacksOnly<ForwardOfTheta, forwards>);
static_assert(LacksOnly<GradientOfTheta, gradient>);
// clang-format on

}  // namespace

TEST_CASE("a type that breaks one requirement of Model or PreparesOnceAStep is refused for that one") {
  SUCCEED("checked by the compiler: each static_assert above");
}
