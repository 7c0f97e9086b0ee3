// SPDX-License-Identifier: Apache-2.0
//
// Flags, messages and files of the compiler's tools.

#include "tools/support/CommandLine.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace hadal::tools {

int refuse(const llvm::Twine &message) {
  llvm::errs() << "error: " << message << '\n';
  return Refused;
}

llvm::cl::OptionCategory &options() {
  static llvm::cl::OptionCategory category("Hadal");
  return category;
}

bool parseFlags(int argc, char **argv, llvm::StringRef overview) {
  llvm::cl::HideUnrelatedOptions(options());
  std::string problem;
  llvm::raw_string_ostream stream(problem);
  if (llvm::cl::ParseCommandLineOptions(argc, argv, overview, &stream))
    return true;
  // LLVM's message starts with the tool's name and ends with a hint in further lines.
  llvm::StringRef line = llvm::StringRef(problem).ltrim().split('\n').first;
  line = line.substr(line.find(": ") == llvm::StringRef::npos ? 0 : line.find(": ") + 2);
  refuse("command line: " + line.split("  Try").first.rtrim() + "; see --help");
  return false;
}

/// `FILE:LINE:COLUMN: ` where the location has one.
static std::string place(Location location) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (auto file = location->findInstanceOf<FileLineColLoc>())
    stream << file.getFilename().getValue() << ':' << file.getLine() << ':' << file.getColumn()
           << ": ";
  else if (auto named = location->findInstanceOf<NameLoc>())
    stream << named.getName().getValue() << ": ";
  return text;
}

OneLineDiagnostics::OneLineDiagnostics(MLIRContext &context)
    : handler(&context, [this](Diagnostic &diagnostic) {
        llvm::StringRef kind = "warning";
        if (diagnostic.getSeverity() == DiagnosticSeverity::Error) {
          if (std::exchange(reported, true))
            return;
          kind = "error";
        } else if (diagnostic.getSeverity() != DiagnosticSeverity::Warning) {
          kind = "remark";
        }
        std::string text = diagnostic.str();
        for (Diagnostic &note : diagnostic.getNotes())
          text += "; " + note.str();
        llvm::replace(text, '\n', ' ');
        llvm::errs() << kind << ": " << place(diagnostic.getLocation()) << text << '\n';
      }) {}

OwningOpRef<ModuleOp> loadModule(llvm::StringRef path, MLIRContext &context) {
  auto buffer = llvm::MemoryBuffer::getFileOrSTDIN(path);
  if (!buffer) {
    refuse(path + ": cannot be read: " + buffer.getError().message());
    return {};
  }
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  return parseSourceFile<ModuleOp>(sources, ParserConfig(&context));
}

int writeOutput(llvm::StringRef name,
                llvm::function_ref<llvm::LogicalResult(llvm::raw_ostream &)> write) {
  // A copy: LLD, run by `write`, resets all flags, and the name is often one of them.
  const std::string path = name.str();
  if (path == "-") {
    if (failed(write(llvm::outs())))
      return Refused;
    llvm::outs().flush();
    return llvm::outs().has_error() ? refuse("stdout: cannot be written") : int(Done);
  }
  llvm::SmallString<128> temporary(path);
  temporary += ".part";
  std::error_code error;
  llvm::ToolOutputFile file(temporary, error, llvm::sys::fs::OF_None);
  if (error)
    return refuse(path + ": cannot be written: " + error.message());
  if (failed(write(file.os())))
    return Refused;
  file.os().close();
  if (file.os().has_error()) {
    error = file.os().error();
    file.os().clear_error();
    return refuse(path + ": cannot be written: " + error.message());
  }
  file.keep();
  if ((error = llvm::sys::fs::rename(temporary, path)))
    return refuse(path + ": cannot be written: " + error.message());
  return Done;
}

} // namespace hadal::tools
