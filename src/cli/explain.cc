#include "cli/explain.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/units.h"
#include "cli/report.h"
#include "model/proof.h"

namespace weighbridge::cli {
namespace {

using base::format_bytes;
using transfer::Explanation;

std::string_view method_name(model::Method method) {
  switch (method) {
    case model::Method::kPieces:
      return "pieces";
    case model::Method::kRoot:
      return "root";
    case model::Method::kSha256:
      return "sha256";
    case model::Method::kNothing:
      break;
  }
  return "nothing";
}

// The parts of the time, as they are named to people and in JSON.
struct Part {
  std::string_view name;
  std::string_view member;
  base::Duration time;
};

std::array<Part, 6> parts_of(const Explanation& told) {
  const Explanation::Times& times = told.times;
  return {{{"waiting for answers", "origin", times.answers},
           {told.adapts ? "network" : "disk", told.adapts ? "network" : "disk", times.bytes},
           {"hash and proof", "hash", times.hash},
           {"memory", "memory", times.memory},
           {"waiting for a connection", "turns", times.turns},
           {"pauses between tries", "pauses", times.pauses}}};
}

base::Duration sum_of(const std::array<Part, 6>& parts) {
  base::Duration sum{};
  for (const Part& part : parts) {
    sum += part.time;
  }
  return sum;
}

std::string connections_text(const Explanation& told) {
  if (!told.adapts) {
    return fmt::format("  readers: {} at once\n", told.peak_connections);
  }
  std::string text =
      fmt::format("  connections: began with {}, ended with {}, {} at once at most (ceiling {})\n",
                  told.start_connections,
                  told.end_connections,
                  told.peak_connections,
                  told.most_connections);
  for (const transfer::Pace::Decision& decision : told.decisions) {
    text += fmt::format("    after {:.2f} s: {}{} ({})\n",
                        seconds(decision.after),
                        decision.from == decision.to ? "" : fmt::format("{} to ", decision.from),
                        decision.to,
                        decision.why);
  }
  return text;
}

std::string requests_text(const Explanation& told) {
  std::string text = fmt::format("  requests: {} of {} to {}",
                                 told.requests,
                                 format_bytes(told.least_request_bytes),
                                 format_bytes(told.most_request_bytes));
  if (told.retries > 0) {
    text += fmt::format(", {} tried again", told.retries);
  }
  if (told.hedges.begun > 0) {
    text += fmt::format(", {} that lagged asked for twice ({} of {} were faster)",
                        format_bytes(told.hedges.bytes),
                        told.hedges.won,
                        told.hedges.begun);
  }
  return text + fmt::format("; {} received for {}\n",
                            format_bytes(told.received_bytes),
                            format_bytes(told.wanted_bytes));
}

std::string files_text(const Explanation& told) {
  std::vector<std::string> kinds;
  for (const auto& [method, count] : told.files) {
    kinds.push_back(fmt::format("{} by {}", counted(count, "file"), method_name(method)));
  }
  return kinds.empty() ? "" : fmt::format("  proved: {}\n", fmt::join(kinds, ", "));
}

std::string names_text(std::string_view what, const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 3;
  if (names.empty()) {
    return "";
  }
  const std::size_t named = std::min(names.size(), kNamed);
  const std::size_t more = names.size() - named;
  return fmt::format("  {}: {}{}\n",
                     what,
                     fmt::join(std::span(names).first(named), ", "),
                     more > 0 ? fmt::format(" and {} more", more) : "");
}

std::string reads_text(const Explanation& told) {
  std::vector<std::string> ways;
  const auto add = [&](std::uint64_t bytes, std::string_view way) {
    if (bytes > 0) {
      ways.push_back(fmt::format("{} {}", format_bytes(bytes), way));
    }
  };
  const auto reads = told.local_reads.value_or(sources::LocalReads());
  add(reads.cached_bytes, "copied from the page cache");
  add(reads.direct_bytes, "straight from the disk");
  add(reads.buffered_bytes, "through the page cache, as it could not be read past it");
  add(reads.far_bytes, "from a network or FUSE file system");
  return ways.empty() ? "" : fmt::format("  read: {}\n", fmt::join(ways, ", "));
}

std::string times_text(const Explanation& told) {
  const auto parts = parts_of(told);
  const double whole = seconds(sum_of(parts));
  std::string text = fmt::format(
      "  time: {:.2f} s; of all connections together {:.2f} s\n", seconds(told.took), whole);
  for (const Part& part : parts) {
    const double share = whole > 0 ? seconds(part.time) / whole * 100 : 0;
    text += fmt::format("    {:4.0f} % {}\n", share, part.name);
  }
  return text;
}

void names(base::JsonWriter& json, std::string_view key, const std::vector<std::string>& values) {
  json.key(key);
  json.begin_array();
  for (const std::string& value : values) {
    json.text(value);
  }
  json.end_array();
}

// The members that say how files were read and hashed.
void more_of_files(base::JsonWriter& json, const Explanation& told) {
  names(json, "not_hashed", told.not_hashed);
  names(json, "read_twice", told.read_twice);
  if (told.local_reads) {
    const auto number = [&](std::string_view key, std::uint64_t value) {
      json.key(key);
      json.number(value);
    };
    json.key("local_reads");
    json.begin_object();
    number("cached_bytes", told.local_reads->cached_bytes);
    number("direct_bytes", told.local_reads->direct_bytes);
    number("buffered_bytes", told.local_reads->buffered_bytes);
    number("far_bytes", told.local_reads->far_bytes);
    json.end_object();
  }
  if (told.proofs_note) {
    json.key("proofs_note");
    json.text(*told.proofs_note);
  }
}

}  // namespace

std::string explain_text(const Explanation& told) {
  std::string text = "how it went\n" + connections_text(told) + requests_text(told) +
                     reads_text(told) + files_text(told);
  text += names_text("not hashed, as this machine has hashed them before", told.not_hashed);
  text += names_text("read twice, as less memory than they need is allowed", told.read_twice);
  if (told.proofs_note) {
    text += fmt::format("  what was hashed here could not be looked up or remembered: {}\n",
                        *told.proofs_note);
  }
  return text + times_text(told);
}

void explain_json(base::JsonWriter& json, const Explanation& told) {
  const auto number = [&](std::string_view key, std::uint64_t value) {
    json.key(key);
    json.number(value);
  };
  const auto decimal = [&](std::string_view key, double value) {
    json.key(key);
    json.decimal(value);
  };
  json.begin_object();
  decimal("seconds", seconds(told.took));
  json.key("connections");
  json.begin_object();
  number("first", told.start_connections);
  number("last", told.end_connections);
  number("peak", told.peak_connections);
  number("ceiling", told.most_connections);
  json.end_object();
  json.key("decisions");
  json.begin_array();
  for (const transfer::Pace::Decision& decision : told.decisions) {
    json.begin_object();
    decimal("after_seconds", seconds(decision.after));
    number("from", decision.from);
    number("to", decision.to);
    json.key("why");
    json.text(decision.why);
    json.end_object();
  }
  json.end_array();
  number("requests", told.requests);
  number("retries", told.retries);
  number("least_request_bytes", told.least_request_bytes);
  number("most_request_bytes", told.most_request_bytes);
  number("wanted_bytes", told.wanted_bytes);
  number("received_bytes", told.received_bytes);
  number("hedges", told.hedges.begun);
  number("hedges_won", told.hedges.won);
  number("hedged_bytes", told.hedges.bytes);
  json.key("files");
  json.begin_object();
  for (const auto& [method, count] : told.files) {
    number(method_name(method), count);
  }
  json.end_object();
  more_of_files(json, told);
  json.key("connection_seconds");
  json.begin_object();
  for (const Part& part : parts_of(told)) {
    decimal(part.member, seconds(part.time));
  }
  json.end_object();
  json.end_object();
}

}  // namespace weighbridge::cli
