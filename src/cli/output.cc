#include "cli/output.h"

#include <cerrno>
#include <system_error>

#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

namespace weighbridge::cli {
namespace {

constexpr std::size_t kUsualColumns = 80;

}  // namespace

base::Result<void> DescriptorOutput::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor_, text.data(), text.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      return base::Error(
          base::Code::kIo,
          fmt::format("writing to {}: {}", name_, std::generic_category().message(errno)));
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

std::size_t DescriptorOutput::columns() const {
  if (::isatty(descriptor_) == 0) {
    return 0;
  }
  winsize size{};
  const bool known = ::ioctl(descriptor_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kUsualColumns;
}

}  // namespace weighbridge::cli
