#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weighbridge::cli {

// Where a command's text goes: standard output, standard error, or a test's string.
// Thread-compatible.
class Output {
 public:
  Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  virtual ~Output() = default;

  // All of it or an error: text that did not arrive must not end in exit status 0.
  virtual base::Result<void> write(std::string_view text) = 0;

  // Width of the terminal it is; 0 if it is none.
  virtual std::size_t columns() const = 0;
};

// An open descriptor, which it does not close. kIo, naming it, when its reader is gone or it cannot
// be written; SIGPIPE is to be ignored. Thread-compatible.
class DescriptorOutput final : public Output {
 public:
  DescriptorOutput(int descriptor, std::string name)
      : descriptor_(descriptor), name_(std::move(name)) {}

  base::Result<void> write(std::string_view text) override;
  std::size_t columns() const override;

 private:
  const int descriptor_;
  const std::string name_;
};

}  // namespace weighbridge::cli
