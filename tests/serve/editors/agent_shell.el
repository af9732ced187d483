;;; Types the steps of $STEPS into agent-shell, answers its questions by their keys, and writes its buffer to $SHOWN.

(dolist (plugin '("acp.el" "shell-maker" "agent-shell"))
  (add-to-list 'load-path (expand-file-name plugin (getenv "CHATCLI_TEST_PLUGINS"))))
(load (getenv "SETTINGS") nil t)

(setq agent-shell-session-strategy 'new
      agent-shell-transcript-file-path-function nil)

(defvar shell nil)
(defvar ready nil)
(defvar question nil)

(defun until (condition)
  "Let processes go on until CONDITION holds."
  (let ((end (+ (float-time) 60)))
    (while (not (funcall condition))
      (when (> (float-time) end)
        (error "Nothing came any more: %s" (buffer-string)))
      (accept-process-output nil 0.05))))

(defun answer (decision)
  "Press the key that allows a call, or the button that rejects it, which stops the turn, too."
  (until (lambda () question))
  (setq question nil)
  (agent-shell-jump-to-latest-permission-button-row)
  (unless (equal decision "allow")
    (search-forward "Reject"))
  (call-interactively (key-binding (kbd (if (equal decision "allow") "y" "RET")))))

(defun play (step)
  "Type what STEP says, and wait for the end of the turn."
  (until (lambda () ready))
  (setq ready nil)
  (agent-shell-insert :text (map-elt step 'say) :submit t :shell-buffer shell)
  (unless (string-empty-p (map-elt step 'decision))
    (answer (map-elt step 'decision)))
  (unless (string-empty-p (map-elt step 'cancels))
    (until (lambda () (string-search (map-elt step 'cancels) (buffer-string))))
    (agent-shell-interrupt t))
  (until (lambda () ready)))

(setq shell (agent-shell-start :config (car agent-shell-agent-configs)))
(switch-to-buffer shell)
(agent-shell-subscribe-to
 :shell-buffer shell
 :on-event (lambda (event)
             (pcase (map-elt event :event)
               ('permission-request (setq question t))
               ((or 'prompt-ready 'turn-complete) (setq ready t)))))
(mapc #'play (with-temp-buffer
               (insert-file-contents (getenv "STEPS"))
               (json-parse-buffer :object-type 'alist :array-type 'list)))
(write-region (buffer-substring-no-properties (point-min) (point-max)) nil (getenv "SHOWN"))
(agent-shell--shutdown)
