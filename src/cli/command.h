#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/result.h"
#include "cli/output.h"
#include "device/host_memory.h"
#include "io/file_system.h"
#include "registry/registries.h"
#include "sources/source.h"
#include "store/store.h"
#include "transfer/local_proofs.h"
#include "transfer/transfer.h"

namespace CLI {
class App;
}  // namespace CLI

namespace weighbridge::cli {

using OpenStore =
    std::function<base::Result<std::unique_ptr<store::Store>>(const store::SpaceLimits&)>;

// What every command is given; `main` owns it all and outlives the command.
struct Environment {
  io::FileSystem& files;
  sources::OpenSource open_source;
  transfer::Transfer& transfer;
  device::HostPool& pool;
  Output& out;  // what was asked for
  Output& err;  // progress and errors
  // What this machine has hashed before; null where that is not kept.
  transfer::LocalProofs* local_proofs = nullptr;
  // The store of this user, made if need be.
  OpenStore open_store = {};
  // The same, but null where there is none: who only reads makes no store.
  OpenStore find_store = {};
  // Every registry there is, opened when it is asked for first; empty where a program has none.
  std::function<base::Result<registry::Registries*>()> registries = {};
};

// How a command speaks; flags that every command has.
struct Style {
  bool json = false;   // one JSON value on `out`, errors as JSON on `err`
  bool quiet = false;  // errors only, and what was asked for
};

// What a command says of itself; literals.
struct CommandText {
  std::string_view name;
  std::string_view summary;  // one line, for the list of commands
  std::string_view example;  // closes its help: an example, and what a reader must know to use it
};

// One command of the program: its flags, and what it does. Confined to the thread that runs it.
class Command {
 public:
  Command() = default;

  explicit Command(const CommandText& text) : text_(text) {}

  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;

  virtual std::string_view name() const { return text_.name; }

  virtual std::string_view summary() const { return text_.summary; }

  virtual std::string_view example() const { return text_.example; }

  // Adds flags and arguments, which are read into the command itself.
  virtual void declare(CLI::App& app) = 0;
  // After the arguments have been read. Whoever called reports the error.
  virtual base::Result<void> run(const base::Call& call,
                                 const Environment& environment,
                                 Style style) = 0;

 private:
  const CommandText text_ = {};
};

}  // namespace weighbridge::cli
