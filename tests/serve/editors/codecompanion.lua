-- Types the steps of $STEPS into CodeCompanion's chat, answers its questions by their keys, and writes its buffer to
-- $SHOWN.

local plugins = vim.env.CHATCLI_TEST_PLUGINS
vim.opt.runtimepath:prepend({ plugins .. "/plenary.nvim", plugins .. "/codecompanion.nvim" })
vim.cmd.runtime("plugin/codecompanion.lua")
dofile(vim.env.SETTINGS)

local function shown()
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
end

local function until_true(condition)
  assert(vim.wait(60000, condition, 20), "nothing came any more: " .. shown())
end

local question, ready = false, true
vim.api.nvim_create_autocmd("User", {
  pattern = { "CodeCompanionToolApprovalRequested", "CodeCompanionChatDone" },
  callback = function(event)
    question = question or event.match == "CodeCompanionToolApprovalRequested"
    ready = ready or event.match == "CodeCompanionChatDone"
  end,
})

local function press(keys)
  vim.api.nvim_feedkeys(vim.keycode(keys), "mx", false)
end

local function play(chat, step)
  ready = false
  press("Go" .. step.say .. "<Esc>")
  chat:submit()
  if step.decision ~= "" then
    until_true(function()
      return question
    end)
    question = false
    local keys = require("codecompanion.interactions.chat.tools.labels").keymaps()
    press(step.decision == "allow" and keys.accept or keys.reject)
  end
  if step.cancels ~= "" then
    until_true(function()
      return shown():find(step.cancels, 1, true)
    end)
    press("q")
  end
  until_true(function()
    return ready
  end)
end

local function main()
  vim.cmd("CodeCompanionChat")
  local chat = require("codecompanion").last_chat()
  until_true(function()
    return chat.acp_connection and chat.acp_connection.session_id
  end)
  for _, step in ipairs(vim.json.decode(table.concat(vim.fn.readfile(vim.env.STEPS), "\n"))) do
    play(chat, step)
  end
  vim.fn.writefile(vim.split(shown(), "\n"), vim.env.SHOWN)
end

local well, problem = pcall(main)
if not well then
  io.stderr:write(problem)
  vim.cmd("cquit")
end
vim.cmd("qa!")
