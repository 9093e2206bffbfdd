/** What a line defines, in languages that no grammar reads for us. */
import { describe, expect, test } from "vitest";
import { definitionOnLine, findDefinitions } from "../../server/query/definitions.ts";

describe("a line defines", () => {
  test.each([
    ["a.ex", "defmodule Phoenix.Endpoint do", "module Endpoint"],
    ["a.ex", "  defp fetch_uri(conn) do", "function fetch_uri"],
    ["a.exs", "  defmacro valid?(x), do: x", "macro valid?"],
    ["a.lua", "local function strip_args(uri)", "function strip_args"],
    ["a.lua", "function _M.cache:get(key)", "function get"],
    ["a.lua", "  is_magic = function(path)", "function is_magic"],
    ["a.lua", "local encode = require('cjson').new()", "variable encode"],
    ["a.lua", "_M.split = splitn", "field split"],
    ["a.hs", "runChecker :: Parameters -> Checker", "function runChecker"],
    ["a.hs", "data Parameters = Parameters {", "type Parameters"],
    ["a.hs", "class (Monad m) => HasScope m where", "class HasScope"],
    ["a.hs", "module ShellCheck.AnalyzerLib where", "module AnalyzerLib"],
    ["a.elm", "update : Msg -> Model -> Model", "function update"],
    ["a.ml", "let rec walk node = match node with", "function walk"],
    ["a.fs", "  member this.Close() = ()", "method Close"],
    ["a.kt", "expect open class ByteString", "class ByteString"],
    ["a.kt", '@JvmName("x") internal inline fun <T> Buffer.readAll(f: T): T {', "function readAll"],
    ["a.kt", "  private val limits = 3", "variable limits"],
    ["a.scala", "  implicit def toOps(x: Int): Ops = new Ops(x)", "function toOps"],
    ["a.scala", "case class Point(x: Int)", "class Point"],
    [
      "a.swift",
      "    @discardableResult open func request(_ url: URL) -> Request {",
      "function request",
    ],
    ["a.swift", "public final class Session: @unchecked Sendable {", "class Session"],
    ["a.swift", "extension URL: URLConvertible {", "extension URL"],
    ["a.swift", "    private(set) var state = 0", "variable state"],
    ["a.rb", "  def self.create!(name)", "method create!"],
    ["a.rb", "class Rack::Protection::Base", "class Base"],
    ["a.clj", "(defn- parse-line [line]", "function parse-line"],
    ["a.el", "(defvar ng-mode nil", "variable ng-mode"],
    ["a.erl", "handle_call({get, Key}, _From, State) ->", "function handle_call"],
    ["a.r", "fit_model <- function(data) {", "function fit_model"],
    ["a.jl", "area(r) = pi * r^2", "function area"],
    ["a.ps1", "function Get-Version {", "function Get-Version"],
    ["a.pl", "sub new_from {", "function new_from"],
    ["a.sql", "CREATE TABLE IF NOT EXISTS shop.orders (", "table orders"],
    ["a.proto", "  rpc Bounce (BallIn) returns (BallOut);", "rpc Bounce"],
    ["a.tf", 'resource "aws_vpc" "main" {', "resource main"],
  ])("%s: %s", (path, line, expected) => {
    const found = definitionOnLine(path, line);
    expect(found === undefined ? undefined : `${found.kind} ${found.name}`).toBe(expected);
  });

  test.each([
    ["a.ex", "    default = 3"],
    ["a.lua", "  local x = y.functional"],
    ["a.lua", "local split = utils.split"],
    ["a.lua", "local cjson = require('cjson')"],
    ["a.lua", "if a.b == c then"],
    ["a.hs", "  where x = 3"],
    ["a.kt", "  return funny(value)"],
    ["a.swift", "  let's = call()".replace("'s", "ter(s)")],
    ["a.rb", "  default def_param"],
    ["a.erl", "    foo(X),"],
    ["a.sql", "INSERT INTO orders VALUES (1);"],
  ])("nothing in %s: %s", (path, line) => {
    expect(definitionOnLine(path, line)).toBeUndefined();
  });

  test("a name beyond ASCII, and what it is in", () => {
    const lines = ["class Größe {", "    fun länge(): Int {", "        return 1", "    }", "}"];
    const latin1 = lines.map((line) => Buffer.from(line).toString("latin1"));
    expect(findDefinitions("a.kt", latin1, undefined)).toMatchObject([
      { name: "Größe", kind: "class", line: 0, endLine: 4 },
      { name: "länge", kind: "method", container: "Größe", line: 1, endLine: 3 },
    ]);
  });

  test("nothing slowly, however long the line", () => {
    const line = `${"public ".repeat(50)}${"a".repeat(40)}`;
    const began = performance.now();
    for (const path of ["a.kt", "a.swift", "a.scala", "a.jl", "a.erl"])
      for (let i = 0; i < 100; i++) definitionOnLine(path, line);
    expect(performance.now() - began).toBeLessThan(2_000);
  });
});
