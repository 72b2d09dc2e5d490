#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/report.h"
#include "cli/store_commands.h"
#include "cli/stored_ref.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr CommandText kPinText{
    "pin",
    "Keep a model on this machine until it is unpinned",
    "Example:\n"
    "  weighbridge pin https://models.example/qwen/\n"
    "What REF stands for now is kept, whatever it stands for later: pin again after a pull."};
constexpr CommandText kUnpinText{"unpin",
                                 "Let a pinned model be evicted again",
                                 "Example:\n"
                                 "  weighbridge unpin https://models.example/qwen/"};

// A Ref, and what it pins now.
struct Pinned {
  std::string ref;
  std::optional<hash::Root> content_id;
};

Result<Pinned> pin(const Environment& environment, const std::string& text) {
  const auto store = TRY(environment.open_store({}));
  const store::StoredRef ref = TRY(find_stored_ref(*store, text));
  const auto& content_id = ref.record.content_id;
  if (!content_id || !TRY(store->snapshots().find(*content_id))) {
    return Error(Code::kNotFound, "it is not whole on this machine, so there is nothing to keep")
        .in_file(ref.record.ref)
        .with_hint("`weighbridge pull` it first.");
  }
  TRY(store->refs().pin(ref, *content_id));
  return Pinned{ref.record.ref, content_id};
}

Result<Pinned> unpin(const Environment& environment, const std::string& text) {
  const auto store = TRY(environment.open_store({}));
  const model::Ref typed = TRY(model::Ref::parse(text));
  if (TRY(store->refs().pinned(typed))) {  // also where the record is gone
    TRY(store->refs().unpin(typed));
    return Pinned{typed.printable(), std::nullopt};
  }
  const store::StoredRef ref = TRY(find_stored_ref(*store, text));
  TRY(store->refs().unpin(ref));
  return Pinned{ref.record.ref, std::nullopt};
}

std::string as_json(const Pinned& pinned) {
  return json_object([&](base::JsonWriter& json) {
    text_member(json, "ref", pinned.ref);
    text_or_null(json, "pinned", pinned.content_id ? pinned.content_id->hex() : "");
  });
}

std::string for_people(const Pinned& pinned) {
  const std::string ref = base::printable(pinned.ref);
  return pinned.content_id
             ? fmt::format("pinned {}\n  content_id {}\n", ref, pinned.content_id->hex())
             : fmt::format("{} is not pinned any more\n", ref);
}

// Confined to the thread that runs it.
class PinCommand final : public Command {
 public:
  explicit PinCommand(bool pins) : Command(pins ? kPinText : kUnpinText), pins_(pins) {}

  void declare(CLI::App& app) override {
    app.add_option("REF", ref_, "As it was pulled, or as `ls` prints it")->required();
  }

  Result<void> run(const Call&, const Environment& environment, Style style) override {
    const Pinned pinned = TRY(pins_ ? pin(environment, ref_) : unpin(environment, ref_));
    return environment.out.write(style.json ? as_json(pinned) : for_people(pinned));
  }

 private:
  const bool pins_;
  std::string ref_;
};

}  // namespace

std::unique_ptr<Command> make_pin_command() {
  return std::make_unique<PinCommand>(true);
}

std::unique_ptr<Command> make_unpin_command() {
  return std::make_unique<PinCommand>(false);
}

}  // namespace weighbridge::cli
