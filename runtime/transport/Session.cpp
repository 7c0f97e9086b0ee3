// SPDX-License-Identifier: Apache-2.0
//
// See Session.h.

#include "runtime/transport/Session.h"

#include <nlohmann/json.hpp>

#include <asio/buffer.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

namespace hadal::rt {

static constexpr std::size_t kLongest = std::size_t(1) << 20;

Session::Session(asio::ip::tcp::socket connected) : socket(std::move(connected)) {
  asio::error_code ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
}

void Session::start(OnMessage message, OnClosed closed) {
  onMessage = std::move(message);
  onClosed = std::move(closed);
  readLength();
}

void Session::readLength() {
  asio::async_read(socket, asio::buffer(length),
                   [self = shared_from_this()](asio::error_code error, std::size_t) {
                     if (error)
                       return self->ended(error == asio::error::eof ? "its connection closed"
                                                                    : error.message());
                     self->readText();
                   });
}

void Session::readText() {
  std::size_t bytes = 0;
  for (unsigned char part : length)
    bytes = bytes << 8 | part;
  if (bytes > kLongest)
    return ended("it sent a message of " + std::to_string(bytes) + " bytes");
  text.resize(bytes);
  asio::async_read(
      socket, asio::buffer(text), [self = shared_from_this()](asio::error_code error, std::size_t) {
        if (error)
          return self->ended(error == asio::error::eof ? "its connection closed" : error.message());
        self->receive();
      });
}

void Session::receive() {
  try {
    if (open)
      onMessage(nlohmann::json::parse(text));
  } catch (const std::exception &error) {
    return ended(std::string("it sent a malformed message: ") + error.what());
  }
  if (open)
    readLength();
}

void Session::send(const nlohmann::json &message) {
  if (!open)
    return;
  std::string body = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string frame;
  for (int shift : {24, 16, 8, 0})
    frame += static_cast<char>(body.size() >> shift & 255);
  queue.push_back(frame + body);
  if (queue.size() == 1)
    writeNext();
}

void Session::writeNext() {
  asio::async_write(socket, asio::buffer(queue.front()),
                    [self = shared_from_this()](asio::error_code error, std::size_t) {
                      if (error || !self->open) {
                        self->queue.clear();
                        return; // the read end says why
                      }
                      self->queue.pop_front();
                      if (!self->queue.empty())
                        self->writeNext();
                    });
}

void Session::ended(const std::string &reason) {
  if (!open)
    return;
  OnClosed tell = onClosed;
  close();
  if (tell)
    tell(reason);
}

void Session::close() {
  open = false; // a write that is under way keeps its part of the queue until it is told
  asio::error_code ignored;
  socket.close(ignored);
}

} // namespace hadal::rt
