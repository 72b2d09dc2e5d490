#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/report.h"
#include "cli/store_commands.h"
#include "store/stock.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::format_bytes;
using base::Result;

constexpr CommandText kText{
    "du",
    "Say where the space went",
    "Example:\n"
    "  weighbridge du\n"
    "'own' comes free with `weighbridge rm`; what is shared stays for the others."};

std::string as_json(const store::Stock& stock) {
  return json_object([&](base::JsonWriter& json) {
    objects_member(json, "refs", stock.refs, [&](const store::Holding& holding) {
      text_member(json, "ref", holding.ref.record.ref);
      number_member(json, "own_bytes", holding.own_bytes);
      number_member(json, "shared_bytes", holding.shared_bytes);
    });
    number_member(json, "blobs", stock.blobs);
    number_member(json, "blob_bytes", stock.blob_bytes);
    number_member(json, "unnamed_bytes", stock.unnamed_bytes);
    number_member(json, "partial_bytes", stock.partial_bytes);
    number_member(json, "quarantine_bytes", stock.quarantine_bytes);
  });
}

std::string for_people(const store::Stock& stock) {
  std::string text;
  for (const store::Holding& holding : stock.refs) {
    text += fmt::format("{:>10} own {:>10} shared  {}\n",
                        format_bytes(holding.own_bytes),
                        format_bytes(holding.shared_bytes),
                        base::printable(holding.ref.record.ref));
  }
  text +=
      fmt::format("{:>10} in {}\n", format_bytes(stock.blob_bytes), counted(stock.blobs, "blob"));
  const auto add = [&](std::uint64_t bytes, std::string_view what) {
    if (bytes > 0) {
      text += fmt::format("{:>10} {}\n", format_bytes(bytes), what);
    }
  };
  add(stock.unnamed_bytes, "of it is named by no model: `weighbridge gc` frees it");
  add(stock.partial_bytes, "being fetched, or waiting for their pull to go on");
  add(stock.quarantine_bytes, "in quarantine: rotten, kept for you to look at");
  return text;
}

// Confined to the thread that runs it.
class DuCommand final : public Command {
 public:
  DuCommand() : Command(kText) {}

  void declare(CLI::App&) override {}

  Result<void> run(const Call&, const Environment& environment, Style style) override {
    const auto store = TRY(environment.find_store({}));
    const store::Stock stock =
        store ? TRY(store::take_stock(store->home(), store->space(), store->refs()))
              : store::Stock();
    return environment.out.write(style.json ? as_json(stock) : for_people(stock));
  }
};

}  // namespace

std::unique_ptr<Command> make_du_command() {
  return std::make_unique<DuCommand>();
}

}  // namespace weighbridge::cli
