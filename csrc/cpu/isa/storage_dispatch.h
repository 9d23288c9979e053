// From a runtime Storage to the type of the pointer it stands for.
#pragma once

#include "lanes.h"

namespace fastcaps::FASTCAPS_ISA {

template <class S>
struct Type {
  typedef S type;
};

// Calls f with Type<S>; for T = double the only storage is double.
template <class T, class F>
FASTCAPS_INLINE void with_storage(Storage storage, F f) {
  if constexpr (sizeof(T) == 8) {
    f(Type<double>());
  } else {
    switch (storage) {
      case Storage::kFloat16:
        return f(Type<Half>());
      case Storage::kBFloat16:
        return f(Type<BFloat16>());
      default:
        return f(Type<float>());
    }
  }
}

// The address of element `index` of an array of unknown storage.
template <class T>
FASTCAPS_INLINE const void* element(Storage storage, const void* array, int64_t index) {
  return static_cast<const char*>(array) + index * element_size(storage);
}

template <class T>
FASTCAPS_INLINE void* element(Storage storage, void* array, int64_t index) {
  return const_cast<void*>(element<T>(storage, const_cast<const void*>(array), index));
}

template <class T>
void widen_storage(Storage storage, const void* source, int64_t count, T* target) {
  with_storage<T>(storage, [&](auto s) {
    typedef typename decltype(s)::type S;
    widen_array<T>(static_cast<const S*>(source), count, target);
  });
}

template <class T>
void narrow_storage(Storage storage, const T* source, int64_t count, void* target) {
  with_storage<T>(storage, [&](auto s) {
    typedef typename decltype(s)::type S;
    narrow_array<T>(source, count, static_cast<S*>(target));
  });
}

template <class T, int NV>
void to_lanes_storage(
    Storage storage, const void* source, int64_t row_stride, int64_t rows, int64_t columns,
    T* tile) {
  with_storage<T>(storage, [&](auto s) {
    typedef typename decltype(s)::type S;
    to_lanes<T, NV>(static_cast<const S*>(source), row_stride, rows, columns, tile);
  });
}

template <class T, int NV>
void from_lanes_storage(
    Storage storage, const T* tile, int64_t rows, int64_t columns, void* target,
    int64_t row_stride) {
  with_storage<T>(storage, [&](auto s) {
    typedef typename decltype(s)::type S;
    from_lanes<T, NV>(tile, rows, columns, static_cast<S*>(target), row_stride);
  });
}

// The weights as T: themselves where they are stored so, else widened into scratch.
template <class T>
FASTCAPS_INLINE const T* widened(
    Storage storage, const void* array, int64_t index, int64_t count, T* scratch) {
  const void* source = element<T>(storage, array, index);
  if (sizeof(T) == 8 || storage == Storage::kFloat32) return static_cast<const T*>(source);
  widen_storage<T>(storage, source, count, scratch);
  return scratch;
}

}  // namespace fastcaps::FASTCAPS_ISA
