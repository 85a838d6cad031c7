// SPDX-License-Identifier: MIT
#pragma once

#include <parade/kernels/product.hpp>

/// The dense products, which most tests need and few are about, are compiled once (extern_kernels.cpp): they are a fifth of what a test of a trainer
/// else makes the compiler write.
#define PARADE_TEST_KERNELS(EXTERN, Scalar)                                                                                               \
  EXTERN template void parade::kernels::pack_panels(parade::Index, parade::Index, const Scalar*, parade::Index, parade::Index, Scalar*,   \
                                                    parade::Index, parade::Index);                                                        \
  EXTERN template void parade::kernels::pack_part(parade::Index, parade::Index, parade::Range, parade::Range, const Scalar*,              \
                                                  parade::Index, parade::Index, Scalar*);                                                 \
  EXTERN template void parade::kernels::product(parade::Index, parade::Index, parade::Index, const Scalar*, const Scalar*, parade::Index, \
                                                const Scalar*, Scalar*, parade::Index);                                                   \
  EXTERN template void parade::kernels::outer_product(parade::Index, parade::Index, parade::Index, const Scalar*, parade::Index,          \
                                                      const Scalar*, parade::Index, Scalar*, parade::Index, parade::kernels::Start);      \
  EXTERN template void parade::kernels::sum_columns(parade::Index, parade::Index, const Scalar*, parade::Index, Scalar*,                  \
                                                    parade::kernels::Start);                                                              \
  EXTERN template void parade::kernels::pack_strips(parade::Index, parade::Index, const Scalar*, parade::Index, Scalar*);                 \
  EXTERN template void parade::kernels::outer_product_tree(parade::Index, parade::Range, parade::Range,                                   \
                                                           std::span<const parade::kernels::ShardPart<Scalar>>, Scalar*, parade::Index);  \
  EXTERN template void parade::kernels::sum_columns_tree(parade::Index, parade::Range,                                                    \
                                                         std::span<const parade::kernels::ShardPart<Scalar>>, Scalar*)

PARADE_TEST_KERNELS(extern, float);
PARADE_TEST_KERNELS(extern, double);
