#include "cli/explain.h"

#include <array>
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

}  // namespace

std::string explain_text(const Explanation& told) {
  return "how it went\n" + connections_text(told) + requests_text(told) + files_text(told) +
         times_text(told);
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
  json.key("connection_seconds");
  json.begin_object();
  for (const Part& part : parts_of(told)) {
    decimal(part.member, seconds(part.time));
  }
  json.end_object();
  json.end_object();
}

}  // namespace weighbridge::cli
