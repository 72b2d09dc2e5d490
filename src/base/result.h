#pragma once

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error.h"

namespace weighbridge::base {

// A value or an Error. No exception crosses a folder: what can fail returns one of these.
// Reading the value of a failure, or the error of a success, is a defect and aborts.
// Thread-compatible.
template <typename T>
class [[nodiscard]] Result {
 public:
  // Implicit, so that `return value;` and `return Error(...);` both read well.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT

  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }

  explicit operator bool() const { return ok(); }

  T& value() & {
    WB_CHECK(ok(), "value() of a failed Result");
    return *std::get_if<0>(&state_);
  }

  const T& value() const& {
    WB_CHECK(ok(), "value() of a failed Result");
    return *std::get_if<0>(&state_);
  }

  // By value, so that a reference to what a temporary held does not dangle.
  T value() && {
    WB_CHECK(ok(), "value() of a failed Result");
    return std::move(*std::get_if<0>(&state_));
  }

  const Error& error() const& {
    WB_CHECK(!ok(), "error() of a Result that holds a value");
    return *std::get_if<1>(&state_);
  }

  Error error() && {
    WB_CHECK(!ok(), "error() of a Result that holds a value");
    return std::move(*std::get_if<1>(&state_));
  }

  T& operator*() & { return value(); }

  const T& operator*() const& { return value(); }

  T* operator->() { return &value(); }

  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> state_;
};

// Success without a value, or an Error. Thread-compatible.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;

  Result(Error error) : error_(std::move(error)) {}  // NOLINT

  bool ok() const { return !error_.has_value(); }

  explicit operator bool() const { return ok(); }

  void value() const { WB_CHECK(ok(), "value() of a failed Result"); }

  const Error& error() const& {
    WB_CHECK(!ok(), "error() of a Result that holds a value");
    return *error_;
  }

  Error error() && {
    WB_CHECK(!ok(), "error() of a Result that holds a value");
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

}  // namespace weighbridge::base

#define WB_CONCAT_INNER(a, b) a##b
#define WB_CONCAT(a, b) WB_CONCAT_INNER(a, b)

// The value of a Result, or an early return of its error from the enclosing function:
//   const auto size = TRY(file.size_bytes());
#define WB_TRY_NAMED(name, expression) \
  __extension__({                      \
    auto name = (expression);          \
    if (!name.ok()) {                  \
      return std::move(name).error();  \
    }                                  \
    std::move(name).value();           \
  })
#define TRY(expression) WB_TRY_NAMED(WB_CONCAT(wb_try_, __COUNTER__), expression)
