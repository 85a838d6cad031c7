// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <type_traits>

#include <parade/core/types.hpp>

namespace parade::detail {

template <class T>
inline constexpr bool is_writable_ref = false;
template <class Plain, int options, class Stride>
inline constexpr bool is_writable_ref<Eigen::Ref<Plain, options, Stride>> = !std::is_const_v<Plain>;

/// Whether a parameter of type T would be wrong for an argument of type Ref, although Eigen converts the one to the other.
template <class T, class Ref>
concept Misfit = requires {
  typename T::Scalar;
}
&&(!std::same_as<typename T::Scalar, typename Ref::Scalar> || bool(T::IsVectorAtCompileTime) != bool(Ref::IsVectorAtCompileTime) ||
   is_writable_ref<T> != is_writable_ref<Ref>);

/// Stands in a concept for an Eigen::Ref that the engine passes. A function that takes this Ref, or any Eigen expression, takes it too. But a
/// Ref also converts to what cannot work: to a Ref of another scalar or to one that may be written (errors deep in Eigen), to a vector where
/// it is a matrix, and, where a result is to be written, to a copy that nobody sees. Here these conversions are deleted, so that a concept
/// refuses such a function by its name.
template <class Ref>
struct Argument : Ref {
  using Ref::operator=;
  template <class T>
    requires Misfit<T, Ref>
  operator T() const = delete;
};

template <class T>
struct ArgumentType {
  using type = T;
};
template <class Plain, int options, class Stride>
struct ArgumentType<Eigen::Ref<Plain, options, Stride>> {
  using type = Argument<Eigen::Ref<Plain, options, Stride>>;
};

/// The same for any type: an Eigen::Ref is watched, another type stands for itself.
template <class T>
using ArgumentOf = typename ArgumentType<T>::type;

template <class T>
concept HasScalarType = requires {
  typename std::remove_cvref_t<T>::Scalar;
};

/// What can be read as a matrix of this scalar.
template <class T, class Scalar>
concept MatrixLike = std::convertible_to<T, ConstMatrixRef<Scalar>> &&
    (!HasScalarType<T> || std::same_as<typename std::remove_cvref_t<T>::Scalar, Scalar>);

}  // namespace parade::detail
