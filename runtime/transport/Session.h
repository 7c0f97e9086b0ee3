// SPDX-License-Identifier: Apache-2.0
//
// One connection of the control plane: messages of JSON text, each after its length. All of it
// happens on the thread of the connection's io_context.

#ifndef HADAL_RUNTIME_TRANSPORT_SESSION_H
#define HADAL_RUNTIME_TRANSPORT_SESSION_H

#include <nlohmann/json_fwd.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <string>

namespace hadal::rt {

class Session : public std::enable_shared_from_this<Session> {
public:
  /// What arrives; an exception of it (a malformed message) closes the connection.
  using OnMessage = std::function<void(const nlohmann::json &)>;
  /// It ended, other than by close(); why.
  using OnClosed = std::function<void(const std::string &)>;

  explicit Session(asio::ip::tcp::socket socket);
  /// Begins to read.
  void start(OnMessage onMessage, OnClosed onClosed);
  void send(const nlohmann::json &message);
  /// Nothing is left to send.
  bool flushed() const { return queue.empty() || !open; }
  void close();

private:
  void readLength();
  void readText();
  void receive();
  void writeNext();
  void ended(const std::string &reason);

  asio::ip::tcp::socket socket;
  OnMessage onMessage;
  OnClosed onClosed;
  std::array<unsigned char, 4> length{};
  std::string text;
  std::deque<std::string> queue;
  bool open = true;
};

} // namespace hadal::rt

#endif
