// A config.json that is accepted is written again so that it says the same; one that is refused is
// named without any of its values.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "registry/docker_config.h"
#include "registry/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using weighbridge::base::Code;
  using weighbridge::registry::DockerConfig;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = DockerConfig::parse(text);
  if (config.ok()) {
    const std::string once = config->text();
    const auto again = DockerConfig::parse(once);
    WB_CHECK(again.ok(), "what was written is read");
    WB_CHECK(again->text() == once, "written once and for all");
    for (const char* host : {"docker.io", "h", "h:5000"}) {
      WB_CHECK(again->find(host) == config->find(host), "another credential");
      WB_CHECK(again->helper(host) == config->helper(host), "another helper");
    }
  } else {
    WB_CHECK(config.error().code() == Code::kInvalid || config.error().code() == Code::kExhausted,
             "another code than the header promises");
  }
  static_cast<void>(weighbridge::registry::parse_settings(text).ok());
  return 0;
}
